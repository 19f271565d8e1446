//! Addresses, the same and not.
