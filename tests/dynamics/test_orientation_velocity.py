from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.dynamics.orientation_velocity import OrientationVelocity
from napari_sem4d.dynamics.orientations import disc_of, from_disc, spread_over_cap, to_disc
from napari_sem4d.model import InputError


def rising(normals):
    return 2.0 + 1.5 * normals[:, 0] - normals[:, 1]


def test_a_smooth_law_is_found_between_the_orientations_that_were_seen():
    seen = spread_over_cap(12.0, 60.0)
    law = OrientationVelocity.fit(seen, rising(seen), np.full(len(seen), 0.02))
    asked = spread_over_cap(7.0, 55.0)
    np.testing.assert_allclose(law.mean(asked), rising(asked), atol=0.1)
    assert law.constrained(asked).all()


def test_what_was_not_seen_is_not_called_known():
    seen = spread_over_cap(8.0, 30.0)
    law = OrientationVelocity.fit(seen, rising(seen), np.full(len(seen), 0.02))
    steep = np.array([[np.sin(1.2), 0.0, np.cos(1.2)]])
    assert not law.constrained(steep)[0]
    assert law.sigma(steep)[0] > 5.0 * law.sigma(seen).max()


def test_sigma_covers_the_scatter_of_repeated_measurements():
    seen = spread_over_cap(10.0, 60.0)
    sigma = np.full(len(seen), 0.3)
    random = np.random.default_rng(0)
    inside = []
    for _ in range(20):
        law = OrientationVelocity.fit(seen, rising(seen) + random.normal(0.0, sigma), sigma)
        inside.append(np.abs(law.mean(seen) - rising(seen)) < law.sigma(seen))
    assert 0.6 < np.mean(inside) < 0.9


def test_symmetry_carries_over_what_was_seen_on_one_side():
    seen = from_disc(np.full(5, 0.25), np.linspace(-0.05, 0.05, 5))
    law = OrientationVelocity.fit(seen, np.full(5, 3.0), np.full(5, 0.05), fold=4)
    turned = seen[:, [1, 0, 2]] * np.array([1.0, -1.0, 1.0])
    np.testing.assert_allclose(law.mean(turned), law.mean(seen), rtol=1e-6)
    assert law.constrained(turned).all()


def test_drawn_laws_scatter_as_sigma_says():
    seen = spread_over_cap(20.0, 60.0)
    law = OrientationVelocity.fit(seen, rising(seen), np.full(len(seen), 0.4))
    random = np.random.default_rng(5)
    spread = np.std([law.drawn(random).mean(seen) for _ in range(300)], axis=0)
    np.testing.assert_allclose(spread, law.sigma(seen), rtol=0.25)


def test_the_disc_and_normals_say_the_same():
    slope = np.array([0.0, 0.5, -3.0]), np.array([0.2, -1.0, 6.0])
    normals = from_disc(*to_disc(*slope))
    np.testing.assert_allclose(-normals[:, 0] / normals[:, 2], slope[0], atol=1e-12)
    np.testing.assert_allclose(-normals[:, 1] / normals[:, 2], slope[1], atol=1e-12)
    np.testing.assert_allclose(disc_of(normals), to_disc(*slope), atol=1e-12)


@pytest.mark.parametrize("normals", [np.zeros((1, 3)), np.ones((2, 2)), [[0.0, 0.0, -1.0]], [[np.nan, 0.0, 1.0]]])
def test_what_is_no_normal_of_a_height_map_is_refused(normals):
    seen = spread_over_cap(20.0, 60.0)
    law = OrientationVelocity.fit(seen, rising(seen), np.ones(len(seen)))
    with pytest.raises(InputError, match="normals must"):
        law.mean(np.asarray(normals))
