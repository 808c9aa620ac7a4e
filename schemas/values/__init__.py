"""The numbers that each method answers with, `values` of its result, member by member. What makes them is elsewhere."""
