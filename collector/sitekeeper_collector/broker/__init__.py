"""The broker's side of the wire: who may log in, who may say and hear what, and Mosquitto's files that say so."""
