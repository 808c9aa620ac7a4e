"""ImageNet's class names, shipped with the package."""

from service.catalog.labels import imagenet_labels


def test_names_stand_at_their_index_when_imagenet_is_asked_for():
    labels = imagenet_labels()
    assert len(labels) == 1000
    # Known indices of ILSVRC 2012 as keras.applications counts them.
    assert (labels[0], labels[1], labels[243], labels[282], labels[386], labels[999]) == (
        "tench",
        "goldfish",
        "bull_mastiff",
        "tiger_cat",
        "African_elephant",
        "toilet_tissue",
    )
