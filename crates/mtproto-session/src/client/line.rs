//! Requests that wait for their turn.

use std::collections::VecDeque;

use super::RequestId;

/// Requests in the order in which they were made, each once. Nearly all join at the end and leave
/// from the front.
#[derive(Debug, Default)]
pub(super) struct Line(VecDeque<RequestId>);

impl Line {
    pub(super) fn insert(&mut self, request: RequestId) {
        if self.0.back().is_none_or(|last| *last < request) {
            self.0.push_back(request);
        } else if let Err(index) = self.0.binary_search(&request) {
            self.0.insert(index, request);
        }
    }

    pub(super) fn remove(&mut self, request: RequestId) {
        if !self.0.is_empty()
            && let Ok(index) = self.0.binary_search(&request)
        {
            self.0.remove(index);
        }
    }

    pub(super) fn first(&self) -> Option<RequestId> {
        self.0.front().copied()
    }

    pub(super) fn pop_first(&mut self) -> Option<RequestId> {
        self.0.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<RequestId> for Line {
    /// The requests must be in order.
    fn from_iter<T: IntoIterator<Item = RequestId>>(requests: T) -> Self {
        Self(requests.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_once_where_its_number_says() {
        let mut line = Line::default();
        [3, 5, 4, 3, 9, 1, 9].into_iter().for_each(|number| line.insert(RequestId(number)));
        line.remove(RequestId(5));
        line.remove(RequestId(6));
        let order: Vec<_> = std::iter::from_fn(|| line.pop_first()).collect();
        assert_eq!(order, [1, 3, 4, 9].map(RequestId));
    }
}
