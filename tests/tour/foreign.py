"""The models of the test data, each in a folder with what its file does not say."""

from pathlib import Path

# Preprocessing and the like, as the test data's own description gives them.
_CONFIGS = {
    "squeezenet": ("squeezenet_v1.1_imagenet.keras", 'preprocessing = "caffe"\nlabels = "imagenet"'),
    "mobilenet": ("mobilenet_v2_imagenet.keras", 'preprocessing = "tf"\nlabels = "imagenet"'),
    "vgg16-blocks": ("vgg16_blocks1_2_imagenet.keras", 'preprocessing = "caffe"\ninput_size = [96, 96]'),
    "teachable": ("teachable_machine_catdog_nested_mnv2.keras", 'preprocessing = "tf"\nlabels = ["Cat", "Dog"]'),
    "tiny-vgg": ("tiny_vgg_cnn_explainer.keras", 'preprocessing = "unit"'),
    "lambda": ("lambda_benign_security_test.keras", ""),
    "lambda-h5": ("lambda_benign_security_test.h5", ""),
    "cats-and-dogs": ("legacy/cats_and_dogs_small_1__bwd_keras2.1.6.h5", 'preprocessing = "unit"'),
    "teachable-h5": ("legacy/teachable_machine_catdog.h5", 'preprocessing = "tf"\nlabels = ["Cat", "Dog"]'),
    "engineer": ("legacy/engineer0940_cats_vs_dogs.keras", 'preprocessing = "unit"'),
    "mnist-h5": ("legacy/mnist_cnn__jhas.h5", 'preprocessing = "unit"'),
    "mnist": ("legacy/mnist_cnn__leyuzak.keras", 'preprocessing = "unit"'),
    "autoencoder-transposed": ("legacy/autoencoder__qusai.h5", 'preprocessing = "unit"'),
    "autoencoder": ("legacy/autoencoder__dfwteinos.h5", 'preprocessing = "unit"'),
    "vae-encoder": ("legacy/vae_encoder_mnist_keras2.2.2.h5", 'preprocessing = "unit"\ndecoder = "vae-decoder"'),
    "vae-decoder": ("legacy/vae_decoder_mnist_keras2.2.2.h5", ""),
    "self-driving": ("legacy/naokishibuya_selfdriving_lambda.h5", ""),
}
_PHOTO = "images/photos/both.png"


def link_models(test_data: Path, folder: Path) -> dict[str, Path]:
    """Lay out a repository of models that are links into the test data; their files by name."""
    files = {}
    for name, (file, card) in _CONFIGS.items():
        source = (test_data / "models" / file).resolve()
        version = folder / name / "1"
        version.mkdir(parents=True)
        (version / f"model{source.suffix}").symlink_to(source)
        (folder / name / "model.toml").write_text(card + "\n", encoding="utf-8")
        files[name] = source
    return files


def photo(test_data: Path) -> Path:
    """What models for photos are shown: a dog and a cat."""
    return (test_data / _PHOTO).resolve()
