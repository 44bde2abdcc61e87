"""What a model says of spectra."""

from typing import NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """Traits of n spectra, each a dict of tensors [n], and three checks [n].

    Attributes
    ----------
    mean, sd, p025, p975 : dict[str, Tensor]
        Posterior mean, standard deviation and 95 % interval, in the trait's unit.
    misfit : Tensor
        Distance of the spectrum from the physical decoding, over its limit; above 1: misfit.
    novelty : Tensor
        Distance of the spectrum from the training spectra, over its limit; above 1: outside.
    prior_width : Tensor
        Posterior over prior standard deviation of LAI.
    contradicted : Tensor or None
        Whether the spectrum speaks against another prior than the model's, where one was given.
    """

    mean: dict[str, Tensor]
    sd: dict[str, Tensor]
    p025: dict[str, Tensor]
    p975: dict[str, Tensor]
    misfit: Tensor
    novelty: Tensor
    prior_width: Tensor
    contradicted: Tensor | None = None
