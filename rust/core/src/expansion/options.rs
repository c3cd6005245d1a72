//! What an expansion depends on beside the base, the keep rates, the cells and the payload.
//!
//! Names and words are those of the options in Python; those that are listed there alone are passed over, and one that
//! is listed here alone is refused by its name.

use serde::Deserialize;

/// Which test interactions of a user stay.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TestItems {
    All,
    One,
}

/// The order of a user's interactions.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    Block,
    Item,
    Time,
}

/// What numbers the expanded items.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum IdOrder {
    /// Column block by column block.
    Block,
    Scrambled,
    Popularity,
}

/// What makes the blocks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    Dropout,
    /// Dropout that keeps all, with factors.
    Kronecker,
    /// Equation 3 of the paper instead of dropout: of the keep rates only the shape counts.
    Sketch,
}

/// What an expansion depends on beside the base, the keep rates, the cells and the payload.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Options {
    pub seed: u64,
    /// False for the shuffle `none`: rows and columns stay where they are in every block.
    pub shuffled: bool,
    /// Whether the entries of each user cell are dealt out among its users before all else.
    pub mixed: bool,
    /// The probability that a block exists at all.
    pub block_keep: f64,
    pub test_items: TestItems,
    pub drop_incomplete: bool,
    /// The share of expanded users, and of items, whose interactions are all test.
    pub cold_users: f64,
    pub cold_items: f64,
    pub order: Order,
    pub id_order: IdOrder,
    pub operator: Operator,
}
