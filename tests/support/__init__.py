"""What the tests stand on: real servers to start and break, stacks to run on, small helpers."""
