//! Parts: contiguous expanded users as a train and a test file.

mod columns;
mod dictionary;
mod encoding;
mod part_file;
mod row_group;
mod run;
mod seal;
mod sharing;
mod sink;

pub use columns::{Column, Source, Values};
pub use dictionary::Dictionary;
pub use encoding::{EncodingChoice, Format, parse_compression};
pub use part_file::FileSummary;
pub use run::{JobSummary, Part, PartSummary, Stage, Target, run};
