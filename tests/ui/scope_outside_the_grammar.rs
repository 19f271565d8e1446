//! A scope that no token could hold is found when the permission is compiled.

tower_bearer::permissions! {
    ReadOrders = scope("orders read");
}

fn main() {}
