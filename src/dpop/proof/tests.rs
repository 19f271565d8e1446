//! Proofs, right and wrong.
