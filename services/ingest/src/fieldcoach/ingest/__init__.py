"""Holds the phone's peer connection and turns its packets into one honestly labelled timeline of PCM."""
