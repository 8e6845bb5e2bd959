"""Reports of a result for people: what they hold, their pictures, and how they become HTML or PDF. No Qt."""
