//! How a base is made, and what is learnt of it before anything is generated: arrays in and arrays out.

use fractalrs_core::algebra::Sparse;
use fractalrs_core::base::{self, Base, Cells, Energies, HoldOut, Mixing, Pairs, Points, Rule, SomeCells, Ties};
use fractalrs_core::chance::Keys;
use numpy::ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::raised;

type Array<'py, T> = Bound<'py, PyArray1<T>>;
type Counts<'py> = Bound<'py, PyArray2<u32>>;
type Csr<'py> = (Array<'py, i64>, Array<'py, i32>);

/// Distinct pairs of interactions, by user and then item: starts, entries (test marked), positions and which users have enough
/// distinct times.
#[pyfunction]
#[pyo3(signature = (users, items, times, count, *, hold_out, leave_out, validation, least_times, positions, threads))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
pub fn collapse<'py>(
    py: Python<'py>,
    users: PyReadonlyArray1<'py, i32>,
    items: PyReadonlyArray1<'py, i32>,
    times: Option<PyReadonlyArray1<'py, i64>>,
    count: usize,
    hold_out: Option<&str>,
    leave_out: usize,
    validation: bool,
    least_times: usize,
    positions: bool,
    threads: usize,
) -> PyResult<(Array<'py, i64>, Array<'py, u32>, Array<'py, i64>, Array<'py, bool>)> {
    let latest = |ties| Some(HoldOut { ties, count: leave_out, validation });
    let hold_out = match hold_out {
        None => None,
        Some("last") => latest(Ties::Last),
        Some("all") => latest(Ties::All),
        Some(other) => return Err(PyValueError::new_err(format!("ties {other:?} are not known"))),
    };
    let rule = Rule { hold_out, least_times, positions };
    let (users, items) = (users.as_slice()?, items.as_slice()?);
    let times = times.as_ref().map(|times| times.as_slice()).transpose()?;
    let made = py.detach(|| Pairs::collapse(users, items, times, count, rule, threads)).map_err(raised)?;
    Ok((
        made.starts.into_pyarray(py),
        made.entries.into_pyarray(py),
        made.positions.into_pyarray(py),
        made.enough.into_pyarray(py),
    ))
}

/// The train, validation and test interactions of each user, users × 3, and of each item.
#[pyfunction]
#[pyo3(signature = (indptr, entries, items, *, threads))]
pub fn degrees<'py>(
    py: Python<'py>,
    indptr: PyReadonlyArray1<'py, i64>,
    entries: PyReadonlyArray1<'py, u32>,
    items: u32,
    threads: usize,
) -> PyResult<(Counts<'py>, Counts<'py>)> {
    let base = Base::new(indptr.as_slice()?, entries.as_slice()?, items).map_err(raised)?;
    let (of_users, of_items) = py.detach(|| base::degrees(&base, threads)).map_err(raised)?;
    Ok((Array2::from(of_users).into_pyarray(py), Array2::from(of_items).into_pyarray(py)))
}

/// For each user the sum of its train items' values, and for each item that of its train users', modulo 2⁶⁴.
#[pyfunction]
#[pyo3(signature = (indptr, entries, user_values, item_values, *, threads))]
pub fn neighbour_sums<'py>(
    py: Python<'py>,
    indptr: PyReadonlyArray1<'py, i64>,
    entries: PyReadonlyArray1<'py, u32>,
    user_values: PyReadonlyArray1<'py, u64>,
    item_values: PyReadonlyArray1<'py, u64>,
    threads: usize,
) -> PyResult<(Array<'py, u64>, Array<'py, u64>)> {
    let (users, items) = (user_values.as_slice()?, item_values.as_slice()?);
    let base = Base::new(indptr.as_slice()?, entries.as_slice()?, items.len() as u32).map_err(raised)?;
    let (of_users, of_items) = py.detach(|| base::neighbour_sums(&base, users, items, threads)).map_err(raised)?;
    Ok((of_users.into_pyarray(py), of_items.into_pyarray(py)))
}

/// The train part of a base in another order, and its transpose: user `users[row]` in each row, item i in column `places[i]`.
#[pyfunction]
#[pyo3(signature = (indptr, entries, users, places, *, threads))]
pub fn ordered<'py>(
    py: Python<'py>,
    indptr: PyReadonlyArray1<'py, i64>,
    entries: PyReadonlyArray1<'py, u32>,
    users: PyReadonlyArray1<'py, i64>,
    places: PyReadonlyArray1<'py, i64>,
    threads: usize,
) -> PyResult<(Csr<'py>, Csr<'py>)> {
    let (users, places) = (users.as_slice()?, places.as_slice()?);
    let base = Base::new(indptr.as_slice()?, entries.as_slice()?, places.len() as u32).map_err(raised)?;
    let made = py.detach(|| base::ordered(&base, users, places, threads)).map_err(raised)?;
    Ok((
        (made.starts.into_pyarray(py), made.columns.into_pyarray(py)),
        (made.transposed_starts.into_pyarray(py), made.transposed_columns.into_pyarray(py)),
    ))
}

/// The train, validation and test interactions of each user, users × 3, once those of every cell are dealt out.
#[pyfunction]
#[pyo3(signature = (indptr, entries, items, user_order, user_starts, seed, *, threads))]
#[allow(clippy::too_many_arguments)]
pub fn mixed_degrees<'py>(
    py: Python<'py>,
    indptr: PyReadonlyArray1<'py, i64>,
    entries: PyReadonlyArray1<'py, u32>,
    items: u32,
    user_order: PyReadonlyArray1<'py, u32>,
    user_starts: PyReadonlyArray1<'py, u32>,
    seed: u64,
    threads: usize,
) -> PyResult<Counts<'py>> {
    let base = Base::new(indptr.as_slice()?, entries.as_slice()?, items).map_err(raised)?;
    let (user_order, user_starts) = (user_order.as_slice()?.to_vec(), user_starts.as_slice()?.to_vec());
    let degrees = py.detach(|| {
        base.check()?;
        let cells = Cells::new(user_order, user_starts, base.users(), "user")?;
        Mixing { cells: &cells, key: Keys::new(seed).mixing }.degrees(&base, threads)
    });
    Ok(Array2::from(degrees.map_err(raised)?).into_pyarray(py))
}

/// For each group of points the matrix Σ (x − mean)(x − mean)ᵀ.
#[pyfunction]
pub fn group_spreads<'py>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, f64>,
    order: PyReadonlyArray1<'py, u32>,
    edges: PyReadonlyArray1<'py, u32>,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let d = points.shape()[1];
    let (points, order, edges) = (Points::new(points.as_slice()?, d), order.as_slice()?, edges.as_slice()?);
    let spreads = py.detach(|| points.spreads(order, edges)).map_err(raised)?;
    let spreads = Array3::from_shape_vec((edges.len() - 1, d, d), spreads);
    Ok(spreads.map_err(|error| PyValueError::new_err(error.to_string()))?.into_pyarray(py))
}

/// Sorts each group of points along its axis; ties by code.
#[pyfunction]
pub fn sort_groups<'py>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, f64>,
    order: PyReadonlyArray1<'py, u32>,
    edges: PyReadonlyArray1<'py, u32>,
    axes: PyReadonlyArray2<'py, f64>,
) -> PyResult<Array<'py, u32>> {
    let points = Points::new(points.as_slice()?, points.shape()[1]);
    let (mut order, edges, axes) = (order.as_slice()?.to_vec(), edges.as_slice()?, axes.as_slice()?);
    py.detach(|| points.sort(&mut order, edges, axes)).map_err(raised)?;
    Ok(order.into_pyarray(py))
}

/// Puts the members of each group of points into its cells, of neighbours, each sorted by code.
#[pyfunction]
pub fn peel_groups<'py>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, f64>,
    order: PyReadonlyArray1<'py, u32>,
    cells: PyReadonlyArray1<'py, u32>,
    starts: PyReadonlyArray1<'py, u32>,
) -> PyResult<Array<'py, u32>> {
    let points = Points::new(points.as_slice()?, points.shape()[1]);
    let (mut order, cells, starts) = (order.as_slice()?.to_vec(), cells.as_slice()?, starts.as_slice()?);
    py.detach(|| points.peel(&mut order, cells, starts)).map_err(raised)?;
    Ok(order.into_pyarray(py))
}

/// Sums of squares, by class of users and of items, of means over cells of both, of users alone, of items alone, and of the
/// entries: of a matrix of ones, some cells of its rows (members, starts, classes), and all of its columns (the cell of each
/// column, sizes, classes); `shape` is how many classes there are.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn cell_energies<'py>(
    py: Python<'py>,
    matrix: (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i32>),
    rows: (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>),
    columns: (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>),
    shape: (usize, usize),
) -> PyResult<Vec<Bound<'py, PyArray2<f64>>>> {
    let (cells, sizes, classes) = (columns.0.as_slice()?, columns.1.as_slice()?, columns.2.as_slice()?);
    let matrix = Sparse::new(matrix.0.as_slice()?, matrix.1.as_slice()?, None, cells.len()).map_err(raised)?;
    let some = SomeCells { members: rows.0.as_slice()?, starts: rows.1.as_slice()?, classes: rows.2.as_slice()? };
    let sums = py.detach(|| Energies::of(&matrix, &some, cells, sizes, classes, shape)).map_err(raised)?;
    [sums.means, sums.along_users, sums.along_items, sums.total]
        .into_iter()
        .map(|sums| {
            let sums = Array2::from_shape_vec(shape, sums);
            Ok(sums.map_err(|error| PyValueError::new_err(error.to_string()))?.into_pyarray(py))
        })
        .collect()
}
