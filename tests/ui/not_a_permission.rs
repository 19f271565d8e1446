//! A type that is no permission explains what one is.

use tower_bearer::Require;

struct ReadOrders;

async fn orders(_: Require<ReadOrders>) {}

fn main() {}
