"""The teachers that come with the project, in the order in which `python -m teachers list` shows them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One teacher of the catalogue; nothing is imported until `load`.

    Attributes:
        name: What a user writes.
        what: One line.
        reference: The paper.
        licence: The licence of the code and, where it needs any, of the published weights.
        target: `module:attribute` of its class; of a checkout's tracker, of its options.
        needs: Its options without a default: files, usually.
        remedy: Where those come from.
        light: Whether its module is cheap to import, so that a listing may ask it whether it can run.
    """

    name: str
    what: str
    reference: str
    licence: str
    target: str
    needs: tuple[str, ...] = ()
    remedy: str = ""
    light: bool = True

    def load(self) -> Any:  # noqa: ANN401 - a class or function, checked by the registry
        """Import the teacher's class."""
        return load(self.target)


def load(target: str) -> Any:  # noqa: ANN401 - whatever is there
    """Import `module:attribute`, where the attribute may be dotted."""
    module, _, attribute = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


_OPENCV = "Apache-2.0"
_PAPER = "Dunnhofer et al., Tracking-by-Trackers with a Distilled and Reinforced Model, ACCV 2020"

CATALOGUE = (
    Entry(
        "kcf",
        "kernelized correlation filter on HOG, equal to the authors' published boxes",
        "Henriques et al., High-Speed Tracking with Kernelized Correlation Filters, TPAMI 2015",
        "MIT",
        "teachers.kcf:Kcf",
        light=False,
    ),
    Entry(
        "mdnet",
        "multi-domain network, trained on every frame's own samples; without weights a slim one from procedural video",
        "Nam and Han, Learning Multi-Domain Convolutional Neural Networks for Visual Tracking, CVPR 2016",
        "MIT; the published weights are for individual research only",
        "teachers.mdnet:Mdnet",
        remedy="weights is a checkpoint such as py-MDNet's mdnet_imagenet_vid.pth, or nothing for the slim network",
        light=False,
    ),
    Entry(
        "eco",
        "efficient convolution operators on HOG and colour, no weights",
        "Danelljan et al., ECO: Efficient Convolution Operators for Tracking, CVPR 2017",
        "MIT",
        "teachers.eco:Eco",
        light=False,
    ),
    Entry(
        "eco-deep",
        "efficient convolution operators on ResNet-18 and VGG-M, as pytracking's eco/default",
        "Danelljan et al., ECO: Efficient Convolution Operators for Tracking, CVPR 2017",
        "MIT; weights as pytracking says",
        "teachers.eco.deep:EcoDeep",
        needs=("weights",),
        remedy="weights is pytracking's resnet18_vggmconv1.pth: "
        "github.com/visionml/pytracking/blob/master/INSTALL.md says where it is (the default network for ECO)",
        light=False,
    ),
    Entry(
        "siamrpn",
        "Siamese region proposals, ten published variants; without weights a slim one from procedural video",
        "Li et al., SiamRPN++, CVPR 2019; Zhu et al., DaSiamRPN, ECCV 2018",
        "MIT; weights as their projects say",
        "teachers.siamrpn:SiamRpn",
        remedy="pysot's model zoo (github.com/STVIR/pysot/blob/master/MODEL_ZOO.md) has the checkpoints",
        light=False,
    ),
    Entry(
        "recorded",
        "replays the boxes of a results folder (GOT-10k toolkit, OTB, pysot, pytracking)",
        "",
        "MIT",
        "teachers.recorded:Recorded",
        needs=("results", "tracker"),
        remedy="results is the folder that holds one folder per tracker, tracker the name of one of them",
    ),
    Entry(
        "csrt",
        "correlation filter with channel and spatial reliability (OpenCV)",
        "Lukezic et al., Discriminative Correlation Filter with Channel and Spatial Reliability, CVPR 2017",
        _OPENCV,
        "teachers.opencv:Csrt",
    ),
    Entry(
        "mosse",
        "minimum output sum of squared error filter (OpenCV)",
        "Bolme et al., Visual Object Tracking using Adaptive Correlation Filters, CVPR 2010",
        _OPENCV,
        "teachers.opencv:Mosse",
    ),
    Entry(
        "opencv-kcf",
        "kernelized correlation filter on grey values and colour names (OpenCV)",
        "Henriques et al., TPAMI 2015; Danelljan et al., Adaptive Color Attributes, CVPR 2014",
        _OPENCV,
        "teachers.opencv:OpenCVKcf",
    ),
    Entry(
        "mil",
        "multiple instance learning on Haar features (OpenCV)",
        "Babenko et al., Visual Tracking with Online Multiple Instance Learning, CVPR 2009",
        _OPENCV,
        "teachers.opencv:Mil",
    ),
    Entry(
        "boosting",
        "online AdaBoost on Haar features (OpenCV)",
        "Grabner et al., Real-Time Tracking via On-line Boosting, BMVC 2006",
        _OPENCV,
        "teachers.opencv:Boosting",
    ),
    Entry(
        "medianflow",
        "forward-backward optical flow (OpenCV)",
        "Kalal et al., Forward-Backward Error: Automatic Detection of Tracking Failures, ICPR 2010",
        _OPENCV,
        "teachers.opencv:MedianFlow",
    ),
    Entry(
        "tld",
        "tracking, learning, detection (OpenCV)",
        "Kalal et al., Tracking-Learning-Detection, TPAMI 2012",
        _OPENCV,
        "teachers.opencv:Tld",
    ),
    Entry(
        "nano",
        "NanoTrack, a light Siamese network (OpenCV)",
        "github.com/HonglinChu/SiamTrackers, NanoTrack",
        f"{_OPENCV}; weights Apache-2.0",
        "teachers.opencv:Nano",
        needs=("backbone", "neckhead"),
        remedy="Both .onnx files of NanoTrack version 1 or 2 are in "
        "https://github.com/HonglinChu/SiamTrackers/tree/master/NanoTrack/models (OpenCV cannot read "
        "version 3's)",
    ),
    Entry(
        "vit",
        "VitTrack, a light vision transformer (OpenCV)",
        "github.com/opencv/opencv_zoo, object_tracking_vittrack",
        f"{_OPENCV}; weights Apache-2.0",
        "teachers.opencv:Vit",
        needs=("net",),
        remedy="The .onnx file is in https://github.com/opencv/opencv_zoo/tree/main/models/object_tracking_vittrack",
    ),
    Entry(
        "dasiamrpn",
        "distractor-aware Siamese region proposals (OpenCV)",
        "Zhu et al., Distractor-aware Siamese Networks for Visual Object Tracking, ECCV 2018",
        f"{_OPENCV}; weights MIT",
        "teachers.opencv:DaSiamRpn",
        needs=("kernel_cls1", "kernel_r1", "model"),
        remedy="The header of OpenCV's samples/dnn/dasiamrpn_tracker.py says where the three .onnx files are",
    ),
    Entry(
        "goturn",
        "regression by a deep network (OpenCV 4)",
        "Held et al., Learning to Track at 100 FPS with Deep Regression Networks, ECCV 2016",
        f"{_OPENCV}; weights MIT",
        "teachers.opencv:Goturn",
        needs=("modelBin", "modelTxt"),
        remedy="Both files are in https://github.com/spmallick/goturn-files",
    ),
    Entry(
        "pytracking:eco/default",
        "ECO on deep features, of your own checkout of pytracking",
        "Danelljan et al., ECO: Efficient Convolution Operators for Tracking, CVPR 2017",
        "GPL-3.0, not part of this project; weights as that project says",
        "teachers.external.options:Options",
        needs=("checkout", "weights"),
    ),
    Entry(
        "pytracking:atom/default",
        "ATOM, of your own checkout of pytracking",
        "Danelljan et al., ATOM: Accurate Tracking by Overlap Maximization, CVPR 2019",
        "GPL-3.0, not part of this project; weights as that project says",
        "teachers.external.options:Options",
        needs=("checkout", "weights"),
    ),
    Entry(
        "pytracking:dimp/dimp50",
        "DiMP-50 (or pytracking:TRACKER/PARAMETERS, any other), of your own checkout of pytracking",
        "Bhat et al., Learning Discriminative Model Prediction for Tracking, ICCV 2019",
        "GPL-3.0, not part of this project; weights as that project says",
        "teachers.external.options:Options",
        needs=("checkout", "weights"),
    ),
    Entry(
        "pysot:siamrpn_alex_dwxcorr",
        "SiamRPN (or pysot:EXPERIMENT, any other), of your own checkout of pysot",
        "Li et al., SiamRPN++, CVPR 2019",
        "Apache-2.0, not part of this project; weights as that project says",
        "teachers.external.options:PySotOptions",
        needs=("checkout", "weights"),
    ),
    Entry(
        "tras",
        "the paper's student alone",
        _PAPER,
        "MIT",
        "trainer.trackers:Tras",
        needs=("weights",),
        remedy="weights is a student of `python -m trainer`, or the authors' checkpoint",
        light=False,
    ),
    Entry(
        "trast",
        "the student, corrected by one teacher that runs beside it",
        _PAPER,
        "MIT",
        "trainer.trackers:Trast",
        needs=("weights", "teacher"),
        remedy="weights is a student's file; teacher is such as kcf, or recorded:RESULTS/TRACKER",
        light=False,
    ),
    Entry(
        "trasfust",
        "the best of several teachers at every frame, as the student judges them",
        _PAPER,
        "MIT",
        "trainer.trackers:Trasfust",
        needs=("weights", "teachers"),
        remedy="weights is a student's file; teachers is a list such as [kcf, eco]",
        light=False,
    ),
)
