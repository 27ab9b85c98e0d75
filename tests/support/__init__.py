"""What the tests share: real servers, waiting, ports."""
