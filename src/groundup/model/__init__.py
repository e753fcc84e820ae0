"""Models, as parts with one protocol each: position, norm, attention, feed-forward."""
