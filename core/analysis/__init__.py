"""Pure functions on arrays: CKA, intervals, recovered fraction."""
