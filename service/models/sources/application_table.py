"""The classifiers of `keras.applications`, as a table: listing them takes no import of Keras.

A model's name is the name of Keras's function in lower case: `VGG16` is `vgg16`. A contract test holds the table
against the installed Keras.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from service.models.preprocessing import PreprocessingMode
from service.models.sources.weights import WeightsFile


@dataclass(frozen=True)
class Application:
    """One function of `keras.applications`. `side` is given where Keras leaves the picture's size open.

    `module` has its `preprocess_input`; `preprocessing` is "none" where that is part of the network.
    """

    function: str
    module: str
    preprocessing: PreprocessingMode
    weights: WeightsFile
    side: int | None = None

    @property
    def name(self) -> str:
        return self.function.lower()


def _family(
    module: str,
    preprocessing: PreprocessingMode,
    place: str,
    files: dict[str, tuple[str, str | None]],
    *,
    side: int | None = None,
) -> Iterator[Application]:
    """Applications whose weights lie together; `files` has each function's file and digest."""
    for function, (file, digest) in files.items():
        yield Application(function, module, preprocessing, WeightsFile(file, f"{place}/{file}", digest), side)


_PLACE = "tensorflow/keras-applications"
_TABLE = (
    *_family(
        "convnext",
        "none",
        f"{_PLACE}/convnext",
        {
            "ConvNeXtBase": ("convnext_base.h5", "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6"),
            "ConvNeXtLarge": ("convnext_large.h5", "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6"),
            "ConvNeXtSmall": ("convnext_small.h5", "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c"),
            "ConvNeXtTiny": ("convnext_tiny.h5", "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff"),
            "ConvNeXtXLarge": (
                "convnext_xlarge.h5",
                "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
            ),
        },
    ),
    *_family(
        "densenet",
        "torch",
        f"{_PLACE}/densenet",
        {
            "DenseNet121": ("densenet121_weights_tf_dim_ordering_tf_kernels.h5", "9d60b8095a5708f2dcce2bca79d332c7"),
            "DenseNet169": ("densenet169_weights_tf_dim_ordering_tf_kernels.h5", "d699b8f76981ab1b30698df4c175e90b"),
            "DenseNet201": ("densenet201_weights_tf_dim_ordering_tf_kernels.h5", "1ceb130c1ea1b78c3bf6114dbdfd8807"),
        },
    ),
    *_family(
        "efficientnet",
        "none",
        "keras-applications",
        {
            "EfficientNetB0": ("efficientnetb0.h5", "902e53a9f72be733fc0bcb005b3ebbac"),
            "EfficientNetB1": ("efficientnetb1.h5", "1d254153d4ab51201f1646940f018540"),
            "EfficientNetB2": ("efficientnetb2.h5", "b15cce36ff4dcbd00b6dd88e7857a6ad"),
            "EfficientNetB3": ("efficientnetb3.h5", "ffd1fdc53d0ce67064dc6a9c7960ede0"),
            "EfficientNetB4": ("efficientnetb4.h5", "18c95ad55216b8f92d7e70b3a046e2fc"),
            "EfficientNetB5": ("efficientnetb5.h5", "ace28f2a6363774853a83a0b21b9421a"),
            "EfficientNetB6": ("efficientnetb6.h5", "165f6e37dce68623721b423839de8be5"),
            "EfficientNetB7": ("efficientnetb7.h5", "8c03f828fec3ef71311cd463b6759d99"),
        },
    ),
    *_family(
        "efficientnet_v2",
        "none",
        f"{_PLACE}/efficientnet_v2",
        {
            "EfficientNetV2B0": ("efficientnetv2-b0.h5", "21ecbf6da12460d5c40bb2f29ceb2188"),
            "EfficientNetV2B1": ("efficientnetv2-b1.h5", "069f0534ff22adf035c89e2d9547a9dc"),
            "EfficientNetV2B2": ("efficientnetv2-b2.h5", "424e49f28180edbde1e94797771950a7"),
            "EfficientNetV2B3": ("efficientnetv2-b3.h5", "1f1fc43bd98a6e4fd8fdfd551e02c7a0"),
            "EfficientNetV2L": ("efficientnetv2-l.h5", "27e6d408b53c7ebc868fefa357689935"),
            "EfficientNetV2M": ("efficientnetv2-m.h5", "a3bf6aa3276309f4fc6a34aa114c95cd"),
            "EfficientNetV2S": ("efficientnetv2-s.h5", "e1d88a8495beba45748fedd0cecbe016"),
        },
    ),
    *_family(
        "inception_resnet_v2",
        "tf",
        f"{_PLACE}/inception_resnet_v2",
        {
            "InceptionResNetV2": (
                "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5",
                "e693bd0210a403b3192acc6073ad2e96",
            ),
        },
    ),
    *_family(
        "inception_v3",
        "tf",
        f"{_PLACE}/inception_v3",
        {
            "InceptionV3": ("inception_v3_weights_tf_dim_ordering_tf_kernels.h5", "9a0d58056eeedaa3f26cb7ebd46da564"),
        },
    ),
    *_family(
        "mobilenet",
        "tf",
        f"{_PLACE}/mobilenet",
        {
            "MobileNet": ("mobilenet_1_0_224_tf.h5", None),
        },
    ),
    *_family(
        "mobilenet_v2",
        "tf",
        f"{_PLACE}/mobilenet_v2",
        {
            "MobileNetV2": ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", None),
        },
    ),
    *_family(
        "mobilenet_v3",
        "none",
        f"{_PLACE}/mobilenet_v3",
        {
            "MobileNetV3Large": ("weights_mobilenet_v3_large_224_1.0_float.h5", "59e551e166be033d707958cf9e29a6a7"),
            "MobileNetV3Small": ("weights_mobilenet_v3_small_224_1.0_float.h5", "8768d4c2e7dee89b9d02b2d03d65d862"),
        },
        side=224,
    ),
    # These alone are named otherwise at their place than in the cache.
    Application(
        "NASNetMobile",
        "nasnet",
        "tf",
        WeightsFile("nasnet_mobile.h5", f"{_PLACE}/nasnet/NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61"),
    ),
    Application(
        "NASNetLarge",
        "nasnet",
        "tf",
        WeightsFile("nasnet_large.h5", f"{_PLACE}/nasnet/NASNet-large.h5", "11577c9a518f0070763c2b964a382f17"),
    ),
    *_family(
        "resnet",
        "caffe",
        f"{_PLACE}/resnet",
        {
            "ResNet50": ("resnet50_weights_tf_dim_ordering_tf_kernels.h5", "2cb95161c43110f7111970584f804107"),
            "ResNet101": ("resnet101_weights_tf_dim_ordering_tf_kernels.h5", "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
            "ResNet152": ("resnet152_weights_tf_dim_ordering_tf_kernels.h5", "100835be76be38e30d865e96f2aaae62"),
        },
    ),
    *_family(
        "resnet_v2",
        "tf",
        f"{_PLACE}/resnet",
        {
            "ResNet50V2": ("resnet50v2_weights_tf_dim_ordering_tf_kernels.h5", "3ef43a0b657b3be2300d5770ece849e0"),
            "ResNet101V2": ("resnet101v2_weights_tf_dim_ordering_tf_kernels.h5", "6343647c601c52e1368623803854d971"),
            "ResNet152V2": ("resnet152v2_weights_tf_dim_ordering_tf_kernels.h5", "a49b44d1979771252814e80f8ec446f9"),
        },
    ),
    *_family(
        "vgg16",
        "caffe",
        f"{_PLACE}/vgg16",
        {
            "VGG16": ("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"),
        },
    ),
    *_family(
        "vgg19",
        "caffe",
        f"{_PLACE}/vgg19",
        {
            "VGG19": ("vgg19_weights_tf_dim_ordering_tf_kernels.h5", "cbe5617147190e668d6c5d5026f83318"),
        },
    ),
    *_family(
        "xception",
        "tf",
        f"{_PLACE}/xception",
        {
            "Xception": ("xception_weights_tf_dim_ordering_tf_kernels.h5", "0a58e3b7378bc2990ea3b43d5981f1f6"),
        },
    ),
)
APPLICATIONS: Final[dict[str, Application]] = {application.name: application for application in _TABLE}
