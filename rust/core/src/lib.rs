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
//! | [`memory`] | `scratch`: memory written before it is read · `processor`: the only unsafe code |
//! | [`reading`] | `plain`: text files of numbers |
//! | [`algebra`] | `sparse`: a matrix in memory, its products with vectors · `nearest` of its rows · `standing`: of items, by factors |
//! | [`chance`] | `random`: words keyed by where they are used · `permutation`: bijections that can be evaluated at one point |
//! | [`base`] | `pairs`: from interactions to entries · `base`: the signed matrix · `train`: its train part in another order · `partition`: how cells are found · `energies`: what averages over cells leave · `cells`: users, or items, that are alike · `layout`: the base as blocks read it |
//! | [`time`] | `clock`: the hours of the week · `timeline`: what is known of a source user · `schedule`: when an expanded user acts |
//! | [`expansion`] | `options` · `existence`: which blocks are there · `dropout`: which entries a block keeps · `shuffle`: where they go · `interactions`: what comes out · `expansion`: all of it, a value · `sketch`: the paper's other operator |
//! | [`tiles`] | `tables`: of a row block, for all threads · `tile`: some users at a time · `kept`: what their blocks keep · `stitch`: users put together · `membership` · `sources`: what pairs stand for |
//! | [`pages`] | `pack`: bits · `delta`: differences · `hybrid`: runs and codes · `chunk`: the pages of a column · `library`: those that the Parquet library encodes |
//! | [`parts`] | `encoding` · `dictionary`: values known beforehand · `columns`: what files carry · `row_group`: encoded page by page · `part_file`: one Parquet file · `seal`: its digest, inside and out · `sink`: how it gets its name · `sharing`: who makes what · `run`: parts made on threads |
//! | [`passes`] | `ahead`: made before it is asked for · `cursor`: one user after the other · `cache`: those that were read · `files`: those of a file · `rows`: a matrix in pieces, on threads · `degrees` · `gram`: products with vectors · `neighbours` · `overlaps`: items shared with given rows · `lookups`: how often ids are looked up · `stack`: what caches of them hit |
//! | [`worlds`] | `curve`: integers over ranks · `preference`: who likes what · `axis`: what is shown · `world`: all of it, a value · `exposures`: what is logged · `stream`: all of it in order · `batch`: for many pairs at once · `feedback`: slates of policies that learn |

pub mod algebra;
pub mod base;
pub mod chance;
pub mod error;
pub mod expansion;
mod memory;
mod pages;
pub mod parts;
pub mod passes;
pub mod reading;
pub mod text;
pub mod threads;
pub mod tiles;
pub mod time;
pub mod worlds;
