"""How three kinds of application use Authkeep; docs/integration.md explains them, tests/examples runs them."""
