"""The demo team: made on the first start by the same services that people use."""
