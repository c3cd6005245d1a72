"""What is on disk: plan, parts, manifest, folder, card."""
