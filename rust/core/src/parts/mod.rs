//! Parts: contiguous expanded users as a file of each split, or one of each split and period.

mod columns;
mod dictionary;
mod encoding;
mod part_file;
mod periods;
mod row_group;
mod run;
mod seal;
mod sharing;
mod sink;

pub use columns::{Column, Source, Values};
pub use dictionary::Dictionary;
pub use encoding::{EncodingChoice, Format, parse_compression};
pub use part_file::FileSummary;
pub use periods::Periods;
pub use run::{JobSummary, Part, PartSummary, Stage, Target, run};
