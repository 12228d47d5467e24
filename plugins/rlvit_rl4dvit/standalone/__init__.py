"""What an exported model consists of; `pruned_vit` is copied into exports as it is."""
