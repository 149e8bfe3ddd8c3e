//! Draws of a network while it learns: the elements that dropout drops, and the codes of a variational autoencoder.

use std::cell::Cell;

use crossburn_noise::Philox;

/// Draws of the training step that this thread is at.
#[derive(Clone, Copy)]
struct Draws {
    generator: Philox,
    /// The first block that the step has not drawn.
    block: u64,
}

thread_local! {
    static DRAWS: Cell<Option<Draws>> = const { Cell::new(None) };
}

/// Does `work`, in which everything that a network on this thread draws comes from `generator`, one draw after the other: trainings that run
/// at the same time do not draw from each other, and a step that is done again draws the same.
///
/// Burn's own draws come from one generator of the process. Outside of such work networks draw nothing.
pub fn with_step_draws<T>(generator: Philox, work: impl FnOnce() -> T) -> T {
    let before = DRAWS.replace(Some(Draws {
        generator,
        block: 0,
    }));
    let done = work();
    DRAWS.set(before);
    done
}

/// The next `count` draws of the step, uniform in (0, 1); `None` outside of one.
pub(crate) fn uniforms(count: usize) -> Option<Vec<f64>> {
    let Draws { generator, block } = take(count)?;
    let mut values = vec![0.0; count];
    generator.fill_uniform_from(block, &mut values);
    Some(values)
}

/// The next `count` draws of the step, standard normal; `None` outside of one.
pub(crate) fn normals(count: usize) -> Option<Vec<f32>> {
    let Draws { generator, block } = take(count)?;
    let mut values = vec![0.0; count];
    generator.fill_normal_from(block, &mut values);
    Some(values)
}

/// Takes the next `count` draws of the step, and returns where they begin; `None` outside of a step.
fn take(count: usize) -> Option<Draws> {
    let draws = DRAWS.get()?;
    // A block has four words.
    let drawn = count.div_ceil(4) as u64;
    DRAWS.set(Some(Draws {
        block: draws.block + drawn,
        ..draws
    }));
    Some(draws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_on_drawing_and_begins_again() {
        assert_eq!((uniforms(3), normals(3)), (None, None));
        let draw = || with_step_draws(Philox::new(2, 7), || (uniforms(5), normals(6), normals(1)));
        let (first, second, third) = draw();
        assert_eq!(draw(), (first.clone(), second.clone(), third.clone()));
        // Five uniform draws take two blocks of four, six normal ones the next two.
        let mut all = vec![0.0f32; 17];
        Philox::new(2, 7).fill_normal(&mut all);
        assert_eq!(second.as_deref(), Some(&all[8..14]));
        assert_eq!(third.as_deref(), Some(&all[16..]));
        assert_eq!(
            first.map(|values| values[4]),
            Some(Philox::new(2, 7).uniform(4))
        );
    }
}
