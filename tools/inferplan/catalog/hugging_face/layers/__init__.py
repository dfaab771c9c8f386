"""What configs say of layers that many families share: attention, feed-forward blocks, experts, positions, MTP."""
