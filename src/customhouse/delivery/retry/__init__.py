"""What a lane does when a delivery fails: what the answer means, how long to wait, who waits apart, when it is too late."""
