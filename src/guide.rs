//! Longer texts: what one wants to know before, and cannot learn from a single item.

#[doc = include_str!("guide/scale.md")]
pub mod scale {}
