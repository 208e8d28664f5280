"""How three kinds of application use Authkeep (docs/integration.md), and how one takes its webhooks; tests/examples runs them."""
