//! The core of `fractalrs`: expands a base into an industrial-size data set, as `docs/generator.md` defines it. It knows
//! nothing of Python.
//!
//! Packages use those above them only:
//!
//! | package | its rooms |
//! |---|---|
//! | `error` | what can go wrong |
//! | `threads` | threads of one call, watched and cancelled through what they share |
//! | `text` | lines of text: numbers in decimals, side by side |
//! | [`memory`] | `scratch`: memory written before it is read · `prefetch`: the only unsafe code |
//! | [`chance`] | `random`: words keyed by where they are used · `permutation`: bijections that can be evaluated at one point |
//! | [`base`] | `base`: the signed matrix · `cells`: users, or items, that are alike · `layout`: the base as blocks read it |
//! | [`time`] | `clock`: the hours of the week · `timeline`: what is known of a source user · `schedule`: when an expanded user acts |
//! | [`expansion`] | `options` · `existence`: which blocks are there · `dropout`: which entries a block keeps · `shuffle`: where they go · `interactions`: what comes out · `expansion`: all of it, a value · `sketch`: the paper's other operator |
//! | [`tiles`] | `tile`: some users at a time · `kept`: what their blocks keep · `stitch`: users put together |
//! | [`parts`] | `encoding` · `columns`: what files carry · `part_file`: one Parquet file · `seal`: its digest, inside and out · `sink`: how it gets its name · `run`: parts made on threads |
//! | [`passes`] | `cursor`: one user after the other · `cache`: those that were read · `files`: those of a file · `rows`: a matrix in pieces, on threads · `degrees` · `gram`: products with vectors · `neighbours` |

pub mod base;
pub mod chance;
pub mod error;
pub mod expansion;
mod memory;
pub mod parts;
pub mod passes;
pub mod text;
pub mod threads;
pub mod tiles;
pub mod time;
