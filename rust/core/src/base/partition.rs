//! Points in groups, which are split in two again and again, and at last into cells of neighbours.

use crate::error::Error;

/// Points of so many dimensions, one after the other.
#[derive(Clone, Copy)]
pub struct Points<'p> {
    values: &'p [f64],
    dimensions: usize,
}

impl<'p> Points<'p> {
    #[must_use]
    pub fn new(values: &'p [f64], dimensions: usize) -> Self {
        Self { values, dimensions }
    }

    /// The matrix Σ (x − mean)(x − mean)ᵀ of each group: one after the other.
    ///
    /// Group g has the members `order[edges[g]..edges[g + 1]]`.
    pub fn spreads(&self, order: &[u32], edges: &[u32]) -> Result<Vec<f64>, Error> {
        self.check(order, edges)?;
        let d = self.dimensions;
        let mut spreads = vec![0.0; (edges.len() - 1) * d * d];
        let mut point = vec![0.0; d];
        for (group, spread) in groups(order, edges).zip(spreads.chunks_exact_mut(d * d)) {
            let mean = self.mean(group);
            for &member in group {
                self.centred(member, &mean, &mut point);
                // Half of it: it is symmetric.
                for (row, line) in spread.chunks_exact_mut(d).enumerate() {
                    let (x, others) = (point[row], &point[row..]);
                    line[row..].iter_mut().zip(others).for_each(|(sum, &y)| *sum += x * y);
                }
            }
            for row in 1..d {
                for column in 0..row {
                    spread[row * d + column] = spread[column * d + row];
                }
            }
        }
        Ok(spreads)
    }

    /// Sorts each group along its axis, of which there is one for each, one after the other; ties by code.
    pub fn sort(&self, order: &mut [u32], edges: &[u32], axes: &[f64]) -> Result<(), Error> {
        self.check(order, edges)?;
        if axes.len() != (edges.len() - 1) * self.dimensions {
            return Err(Error::Invalid("there must be one axis for each group".to_owned()));
        }
        let mut point = vec![0.0; self.dimensions];
        let mut ranked: Vec<(f64, u32)> = Vec::new();
        for (pair, axis) in edges.windows(2).zip(axes.chunks_exact(self.dimensions)) {
            let group = &mut order[pair[0] as usize..pair[1] as usize];
            let mean = self.mean(group);
            ranked.clear();
            ranked.extend(group.iter().map(|&member| {
                self.centred(member, &mean, &mut point);
                // Not −0: it would come before 0.
                (point.iter().zip(axis).map(|(x, a)| x * a).sum::<f64>() + 0.0, member)
            }));
            ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            group.iter_mut().zip(&ranked).for_each(|(place, &(_, member))| *place = member);
        }
        Ok(())
    }

    /// Puts the members of each group into its cells, in place: again and again the outermost that is left and those left that
    /// are nearest to it. Group g has the cells `cells[g]..cells[g + 1]`, of which each ends where the next of `starts` is.
    ///
    /// The few that lie far out carry most of the spectrum. Splitting leaves them with whoever is on their side; here they
    /// choose first. Members of a cell are in order of their codes.
    pub fn peel(&self, order: &mut [u32], cells: &[u32], starts: &[u32]) -> Result<(), Error> {
        let edges: Option<Vec<u32>> = cells.iter().map(|&cell| starts.get(cell as usize).copied()).collect();
        let edges = edges.ok_or_else(|| Error::Invalid("a group has cells that do not exist".to_owned()))?;
        self.check(order, &edges)?;
        let mut room = Peeling::default();
        for pair in cells.windows(2) {
            let (first, last) = (pair[0] as usize, pair[1] as usize);
            let group = &mut order[starts[first] as usize..starts[last] as usize];
            room.gather(self, group);
            let mut filled = 0;
            for cell in first..last {
                let size = (starts[cell + 1] - starts[cell]) as usize;
                room.take(size, &mut group[filled..filled + size]);
                filled += size;
            }
        }
        Ok(())
    }

    fn check(&self, order: &[u32], edges: &[u32]) -> Result<(), Error> {
        let count = self.values.len() / self.dimensions.max(1);
        let fits = self.dimensions > 0
            && edges.last().is_some_and(|&last| last as usize <= order.len())
            && edges.windows(2).all(|pair| pair[0] < pair[1])
            && order.iter().all(|&member| (member as usize) < count);
        if fits { Ok(()) } else { Err(Error::Invalid("the groups do not fit the points".to_owned())) }
    }

    fn point(&self, member: u32) -> &'p [f64] {
        &self.values[member as usize * self.dimensions..][..self.dimensions]
    }

    fn centred(&self, member: u32, mean: &[f64], point: &mut [f64]) {
        point.iter_mut().zip(self.point(member)).zip(mean).for_each(|((x, &value), &mean)| *x = value - mean);
    }

    fn mean(&self, group: &[u32]) -> Vec<f64> {
        let mut mean = vec![0.0; self.dimensions];
        for &member in group {
            mean.iter_mut().zip(self.point(member)).for_each(|(sum, &x)| *sum += x);
        }
        for sum in &mut mean {
            *sum /= group.len() as f64;
        }
        mean
    }
}

fn groups<'o>(order: &'o [u32], edges: &'o [u32]) -> impl Iterator<Item = &'o [u32]> {
    edges.windows(2).map(|pair| &order[pair[0] as usize..pair[1] as usize])
}

/// The members of a group that are left, side by side in memory.
#[derive(Default)]
struct Peeling {
    dimensions: usize,
    members: Vec<u32>,
    points: Vec<f64>,
    radii: Vec<f64>,
    /// Squared distances to the outermost, and the places of those left.
    near: Vec<(f64, u32)>,
    taken: Vec<bool>,
}

impl Peeling {
    fn gather(&mut self, points: &Points, group: &[u32]) {
        let mean = points.mean(group);
        self.dimensions = points.dimensions;
        self.members.clear();
        self.members.extend_from_slice(group);
        self.points.resize(group.len() * points.dimensions, 0.0);
        self.radii.clear();
        for (&member, point) in group.iter().zip(self.points.chunks_exact_mut(points.dimensions)) {
            points.centred(member, &mean, point);
            self.radii.push(point.iter().map(|x| x * x).sum());
        }
    }

    /// Takes so many out, and writes their codes.
    fn take(&mut self, size: usize, cell: &mut [u32]) {
        let (d, left) = (self.dimensions, self.members.len());
        // Of equals the first.
        let outermost =
            (1..left).fold(0, |best, place| if self.radii[place] > self.radii[best] { place } else { best });
        let from = &self.points[outermost * d..][..d];
        self.near.clear();
        self.near.extend(
            self.points
                .chunks_exact(d)
                .take(left)
                .enumerate()
                .map(|(place, point)| (point.iter().zip(from).map(|(x, y)| (x - y) * (x - y)).sum(), place as u32)),
        );
        if size < left {
            self.near.select_nth_unstable_by(size, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        self.taken.clear();
        self.taken.resize(left, false);
        for (place, &(_, near)) in cell.iter_mut().zip(&self.near) {
            *place = self.members[near as usize];
            self.taken[near as usize] = true;
        }
        cell.sort_unstable();
        let mut kept = 0;
        for place in (0..left).filter(|&place| !self.taken[place]) {
            self.members[kept] = self.members[place];
            self.radii[kept] = self.radii[place];
            self.points.copy_within(place * d..(place + 1) * d, kept * d);
            kept += 1;
        }
        self.members.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_sorted_along_their_axes() {
        let values = [3.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 5.0, 0.0, 4.0];
        let points = Points::new(&values, 2);
        let mut order = [0, 1, 2, 3, 4];
        assert_eq!(points.spreads(&order, &[0, 3, 5]).unwrap(), [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5]);
        points.sort(&mut order, &[0, 3, 5], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!(order, [1, 2, 0, 4, 3]);
        points.sort(&mut order, &[0, 5], &[0.0, 0.0]).unwrap();
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_outermost_chooses_first() {
        let values = [0.0, 1.0, 100.0, 2.0, 99.0, 3.0];
        let mut order = [0, 1, 2, 3, 4, 5];
        Points::new(&values, 1).peel(&mut order, &[0, 3], &[0, 2, 4, 6]).unwrap();
        assert_eq!(order, [2, 4, 0, 1, 3, 5]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let points = Points::new(&[0.0, 1.0], 1);
        assert!(points.spreads(&[0, 2], &[0, 2]).is_err());
        assert!(points.spreads(&[0, 1], &[0, 3]).is_err());
        assert!(points.sort(&mut [0, 1], &[0, 2], &[]).is_err());
        assert!(points.peel(&mut [0, 1], &[0, 2], &[0, 2]).is_err());
    }
}
