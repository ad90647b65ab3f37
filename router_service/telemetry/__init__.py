"""What operators see: metrics, health, one log line a decision."""
