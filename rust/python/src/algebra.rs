//! Sparse matrices of `SciPy`'s form: arrays in and arrays out.

use fractalrs_core::algebra::{Best, Factorised, Likelihoods, Sparse, dense_product, nearest};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::errors::raised;
use crate::watch::watch;

type Transposed<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>, Option<Bound<'py, PyArray1<f64>>>);

/// A CSR matrix that was made, and one that is given.
type Made<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<f64>>);
type Csr<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, f64>);
/// One of ones.
type Ones<'py> = (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i32>);

/// Rows, weights, slopes, offsets, and what is usual: see [`Likelihoods`].
type Scored<'py> = (Ones<'py>, Csr<'py>, Numbers<'py>, Numbers<'py>, Numbers<'py>);
type Numbers<'py> = PyReadonlyArray1<'py, f64>;
/// Rows, and two numbers of each candidate and of each row.
type LargestTwo<'py> = (Bound<'py, PyArray1<i64>>, Two<'py>, Two<'py>);
type Two<'py> = (Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<f32>>);

/// A x for a CSR matrix A and x of shape (columns, count), C order; without `values` all entries are 1. The same numbers on any
/// number of threads.
#[pyfunction]
#[pyo3(signature = (starts, columns, values, x, *, threads))]
pub fn sparse_product<'py>(
    py: Python<'py>,
    starts: PyReadonlyArray1<'py, i64>,
    columns: PyReadonlyArray1<'py, i32>,
    values: Option<PyReadonlyArray1<'py, f64>>,
    x: PyReadonlyArray2<'py, f64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (height, count) = (x.shape()[0], x.shape()[1]);
    let values = values.as_ref().map(|values| values.as_slice()).transpose()?;
    let matrix = Sparse::new(starts.as_slice()?, columns.as_slice()?, values, height).map_err(raised)?;
    let y = PyArray2::zeros(py, [matrix.shape().0, count], false);
    let mut borrowed = y.readwrite();
    let (x, out) = (x.as_slice()?, borrowed.as_slice_mut()?);
    py.detach(|| matrix.multiply(x, count, out, threads)).map_err(raised)?;
    drop(borrowed);
    Ok(y)
}

/// A B for CSR matrices A and B, the latter of so many columns: a dense matrix, of sums of double precision that are made single.
/// The same numbers on any number of threads.
#[pyfunction]
#[pyo3(signature = (one, other, width, *, threads))]
pub fn product_of_sparse<'py>(
    py: Python<'py>,
    one: Csr<'py>,
    other: Csr<'py>,
    width: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let (one, other) = factors(&one, &other, width)?;
    let product = PyArray2::zeros(py, [one.shape().0, width], false);
    let mut borrowed = product.readwrite();
    let out = borrowed.as_slice_mut()?;
    py.detach(|| dense_product(&one, &other, out, threads)).map_err(raised)?;
    drop(borrowed);
    Ok(product)
}

/// The transpose of a CSR matrix of so many columns.
#[pyfunction]
#[pyo3(signature = (starts, columns, values, width, *, threads))]
pub fn sparse_transpose<'py>(
    py: Python<'py>,
    starts: PyReadonlyArray1<'py, i64>,
    columns: PyReadonlyArray1<'py, i32>,
    values: Option<PyReadonlyArray1<'py, f64>>,
    width: usize,
    threads: usize,
) -> PyResult<Transposed<'py>> {
    let values = values.as_ref().map(|values| values.as_slice()).transpose()?;
    let matrix = Sparse::new(starts.as_slice()?, columns.as_slice()?, values, width).map_err(raised)?;
    let (starts, columns, values) = py.detach(|| matrix.transposed(threads)).map_err(raised)?;
    Ok((starts.into_pyarray(py), columns.into_pyarray(py), values.map(|values| values.into_pyarray(py))))
}

/// Of each row of the square product of two CSR matrices the largest values, and all that equal the last of those; not its own.
#[pyfunction]
#[pyo3(signature = (one, other, neighbours, *, threads))]
pub fn nearest_rows<'py>(
    py: Python<'py>,
    one: Csr<'py>,
    other: Csr<'py>,
    neighbours: usize,
    threads: usize,
) -> PyResult<Made<'py>> {
    let (one, other) = factors(&one, &other, one.0.len().saturating_sub(1))?;
    let (starts, columns, values) = py.detach(|| nearest(&one, &other, neighbours, threads)).map_err(raised)?;
    Ok((starts.into_pyarray(py), columns.into_pyarray(py), values.into_pyarray(py)))
}

/// Of the log likelihoods of rows and candidates, `Σ weights[i, c] + degree(r) slopes[c] + offsets[c] − usual[r]` over the
/// columns i of a row of ones: the largest of each candidate and the next, and which row that is; and the largest two of
/// each row. The weights are columns × candidates.
#[pyfunction]
#[pyo3(signature = (scored, *, threads))]
pub fn best_likelihoods<'py>(py: Python<'py>, scored: Scored<'py>, threads: usize) -> PyResult<LargestTwo<'py>> {
    let likelihoods = likelihoods(&scored)?;
    let Best { of_rows, of_candidates, found } = watch(py, None, |progress| likelihoods.best(threads, progress))?;
    let [of_rows, of_candidates] = [of_rows, of_candidates].map(|two| two.map(|one| one.into_pyarray(py)).into());
    Ok((found.into_pyarray(py), of_candidates, of_rows))
}

/// Of each candidate the sum of the exponentials of its log likelihoods, none of which counts beyond ±50.
#[pyfunction]
#[pyo3(signature = (scored, *, threads))]
pub fn sums_of_likelihoods<'py>(
    py: Python<'py>,
    scored: Scored<'py>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let likelihoods = likelihoods(&scored)?;
    Ok(watch(py, None, |progress| likelihoods.sums(threads, progress))?.into_pyarray(py))
}

fn likelihoods<'a>((rows, weights, slopes, offsets, usual): &'a Scored) -> PyResult<Likelihoods<'a>> {
    let rows = ones(rows, weights.0.len().saturating_sub(1))?;
    let (weights, slopes) = (valued(weights, slopes.len())?, slopes.as_slice()?);
    Likelihoods::new(rows, weights, slopes, offsets.as_slice()?, usual.as_slice()?).map_err(raised)
}

/// Two matrices that are to be multiplied, the latter of so many columns.
fn factors<'a>(one: &'a Csr, other: &'a Csr, width: usize) -> PyResult<(Sparse<'a>, Sparse<'a>)> {
    Ok((valued(one, other.0.len().saturating_sub(1))?, valued(other, width)?))
}

fn valued<'a>((starts, columns, values): &'a Csr, width: usize) -> PyResult<Sparse<'a>> {
    Sparse::new(starts.as_slice()?, columns.as_slice()?, Some(values.as_slice()?), width).map_err(raised)
}

fn ones<'a>((starts, columns): &'a Ones, width: usize) -> PyResult<Sparse<'a>> {
    Sparse::new(starts.as_slice()?, columns.as_slice()?, None, width).map_err(raised)
}

/// How many items score better than the asked ones of each user, and how many as much, itself too: one after the other, by rank.
/// `known` ones are left out; where as many as are `enough` score better no more are looked for. Scores are `tastes` (users, factors) times `factors` (factors, items), of as many factors as a
/// rank says.
#[pyfunction]
#[pyo3(signature = (tastes, factors, known, asked, ranks, *, enough, threads))]
#[allow(clippy::too_many_arguments)]
pub fn standings<'py>(
    py: Python<'py>,
    tastes: PyReadonlyArray2<'py, f32>,
    factors: PyReadonlyArray2<'py, f32>,
    known: Ones<'py>,
    asked: Ones<'py>,
    ranks: Vec<usize>,
    enough: u32,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let (count, items) = (factors.shape()[0], factors.shape()[1]);
    let scores = Factorised::new(tastes.as_slice()?, factors.as_slice()?, count, items).map_err(raised)?;
    let (known, asked) = (ones(&known, items)?, ones(&asked, items)?);
    let found = watch(py, None, |progress| scores.standings(&known, &asked, &ranks, enough, threads, progress))?;
    Ok(found.into_iter().flatten().flatten().collect::<Vec<_>>().into_pyarray(py))
}
