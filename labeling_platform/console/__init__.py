"""The console of customer success managers: the roof of the ladder, which may look at everything."""
