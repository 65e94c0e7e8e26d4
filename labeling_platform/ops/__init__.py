"""Running the platform: counters for its metrics, signs of life of its workers, a graceful end."""
