"""What two services share."""
