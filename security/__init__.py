"""What script/scan runs: scanners over the tree and over a running server."""
