//! Which declarations hold which, followed without recursion: a schema may chain any number of
//! them.

/// For every node, the list of nodes it leads to.
pub(crate) type Edges = [Vec<usize>];

/// Numbers the strongly connected components; two nodes have one number when each leads to the
/// other. This is Kosaraju's algorithm.
pub(crate) fn components(edges: &Edges) -> Vec<usize> {
    let backwards = reversed(edges);
    let mut component = vec![usize::MAX; edges.len()];
    for start in finishing_order(edges).into_iter().rev() {
        if component[start] != usize::MAX {
            continue;
        }
        let mut stack = vec![start];
        while let Some(node) = stack.pop() {
            component[node] = start;
            let fresh = backwards[node].iter().filter(|&&next| component[next] == usize::MAX);
            stack.extend(fresh);
        }
    }
    component
}

/// The nodes in the order in which a depth-first walk leaves them.
fn finishing_order(edges: &Edges) -> Vec<usize> {
    let mut seen = vec![false; edges.len()];
    let mut order = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        let mut stack = vec![(start, 0)];
        while let Some((node, next)) = stack.pop() {
            if next == 0 && std::mem::replace(&mut seen[node], true) {
                continue;
            }
            match edges[node].get(next) {
                Some(&target) => {
                    stack.push((node, next + 1));
                    stack.push((target, 0));
                }
                None => order.push(node),
            }
        }
    }
    order
}

/// Every node that leads to one of `seeds`, the seeds included.
pub(crate) fn leading_to(edges: &Edges, seeds: impl IntoIterator<Item = usize>) -> Vec<bool> {
    let backwards = reversed(edges);
    let mut reached = vec![false; edges.len()];
    let mut stack: Vec<usize> = seeds.into_iter().collect();
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            stack.extend(&backwards[node]);
        }
    }
    reached
}

/// The nodes so that each comes after those it leads to, or a node on a cycle.
pub(crate) fn bottom_up(edges: &Edges) -> Result<Vec<usize>, usize> {
    let backwards = reversed(edges);
    let mut open: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..edges.len()).filter(|&node| open[node] == 0).collect();
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        for &before in &backwards[node] {
            open[before] -= 1;
            if open[before] == 0 {
                order.push(before);
            }
        }
    }
    match open.iter().position(|&left| left > 0) {
        Some(stuck) => Err(stuck),
        None => Ok(order),
    }
}

fn reversed(edges: &Edges) -> Vec<Vec<usize>> {
    let mut backwards = vec![Vec::new(); edges.len()];
    for (node, targets) in edges.iter().enumerate() {
        for &target in targets {
            backwards[target].push(node);
        }
    }
    backwards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_one_component_and_its_tail_another() {
        let edges = [vec![1], vec![2], vec![0, 3], vec![], vec![0]];
        let component = components(&edges);
        assert_eq!(component[0], component[1]);
        assert_eq!(component[1], component[2]);
        assert_ne!(component[2], component[3]);
        assert_ne!(component[0], component[4]);
    }

    #[test]
    fn what_is_held_comes_before_its_holder() {
        assert_eq!(bottom_up(&[vec![1], vec![2], vec![]]), Ok(vec![2, 1, 0]));
        assert_eq!(bottom_up(&[vec![], vec![2], vec![1]]), Err(1));
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let edges: Vec<_> = (0..200_000).map(|node| vec![node + 1]).chain([vec![]]).collect();
        assert_eq!(components(&edges).len(), edges.len());
        assert!(leading_to(&edges, [edges.len() - 1]).into_iter().all(|reached| reached));
        assert!(bottom_up(&edges).is_ok());
    }
}
