"""The picture fetcher against addresses that attackers write: cases, a little internet, and two ways to run them."""
