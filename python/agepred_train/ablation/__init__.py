"""What each step of a recipe brings: runs that differ from one baseline in one thing, compared picture by picture."""
