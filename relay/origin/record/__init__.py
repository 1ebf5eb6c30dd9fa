"""What happens in a deploy: its events, and its row in the record."""
