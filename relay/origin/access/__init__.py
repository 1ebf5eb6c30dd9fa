"""Who may do what: users with their passwords, and tokens."""
