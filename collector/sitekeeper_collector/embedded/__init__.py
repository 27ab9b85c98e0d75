"""What the one-command start carries with it instead of servers of its own: an MQTT broker in this process."""
