//! What an expansion depends on beside the base, the keep rates and the cells.

/// The order of a user's interactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Block,
    Item,
    Time,
}

/// What an expansion depends on beside the base, the keep rates and the cells.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    /// False for the shuffle `none`: rows and columns stay where they are in every block.
    pub shuffled: bool,
    /// The probability that a block exists at all.
    pub block_keep: f64,
    pub one_test_item: bool,
    pub drop_incomplete: bool,
    /// The share of expanded users, and of items, whose interactions are all test.
    pub cold_users: f64,
    pub cold_items: f64,
    pub order: Order,
    /// Equation 3 of the paper instead of dropout: of the keep rates only the shape counts.
    pub sketch: bool,
}
