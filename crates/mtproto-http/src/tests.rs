//! Requests as clients write them, and links at both ends.
