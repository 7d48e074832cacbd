"""The built-in catalogue: every model that has a name."""

from dunrestore.checkpoints.entries import Entry

_HINET = "L. Chen et al., HINet, arXiv 2105.06086"
_CAR = "W. Sun and Z. Chen, Learned Image Downscaling for Upscaling using CAR, arXiv 1907.12904"
_EDSR = "B. Lim et al., Enhanced Deep Residual Networks (EDSR), arXiv 1707.02921"
_ARIN = "ARIN, arXiv 2402.16188"

_HINET_TILE = "multiples of 48; in tiles with local statistics, or whole (--tile 0) as published"
_START = "restoring murals as it is; it is a starting point for training"


def _published_hinet(
    name: str, file: str, drive_id: str, mirror: str, trained_on: str, use: str, hin_first: int,
    *, width: int = 64, size: int = 354_700_000, quality: str = "",
) -> Entry:  # fmt: skip
    github = "https://github.com/HolyWu/vs-hinet/releases/download/model/"
    drive = f"https://drive.google.com/uc?export=download&id={drive_id}"
    return Entry(
        name=name,
        title=f"HINet as published: {trained_on}" + (", half width" if width == 32 else ""),
        architecture="hinet",
        config={"width": width, "depth": 5, "hin_first": hin_first, "hin_last": 4},
        urls=(github + mirror, drive) if mirror else (drive,),
        file=file,
        size=size,
        licence="MIT",
        source="https://github.com/megvii-model/HINet",
        citation=_HINET,
        training=trained_on,
        intended_use=use,
        not_for=_START,
        quality=quality,
        tile=_HINET_TILE,
    )


def _published_edsr(name: str, file: str, sha256: str, blocks: int, features: int) -> Entry:
    parameters = {256: 40_700_000, 64: 1_370_000}[features]
    return Entry(
        name=name,
        title=f"EDSR x2 as published, {blocks}x{features}",
        architecture="edsr",
        config={"blocks": blocks, "features": features, "scale": 2},
        urls=(f"https://cv.snu.ac.kr/research/EDSR/models/{file}",),
        file=file,
        sha256=sha256,
        size=4 * parameters,
        licence="MIT",
        source="https://github.com/sanghyun-son/EDSR-PyTorch",
        citation=_EDSR,
        training="DIV2K",
        intended_use="the upscaler inside CAR, as a starting point for training",
        not_for="restoring: it makes pictures twice as large",
        tile="any size",
    )


def _published_car(name: str, scale: int, kernel: int) -> Entry:
    return Entry(
        name=name,
        title=f"CAR {scale}x as published (DF2K)",
        architecture="car",
        config={
            "kernel": kernel,
            "scale": scale,
            "edsr": {"blocks": 32, "features": 256, "scale": scale},
        },
        size=4 * 51_300_000,
        licence="GPL-3.0 (the authors' repository)",
        source="https://github.com/sunwj/CAR",
        citation=_CAR,
        training="DIV2K and Flickr2K (DF2K)",
        intended_use="the paper's CAR-DF2K: what resampling does without having seen a mural",
        not_for=_START,
        quality="Dunhuang test set, by the ARIN paper: 16.65 dB PSNR, 0.67 SSIM"
        if scale == 2
        else "",
        tile="multiples of 8",
        steps=(
            "in a browser, open https://github.com/sunwj/CAR, follow its link to mega.nz and"
            f" download the folder {scale}x (kgn.pth and usn.pth)",
            f"dunrestore models import PATH/TO/{scale}x --name {name}",
        ),
    )


def _own(
    name: str,
    title: str,
    architecture: str,
    citation: str,
    *,
    paper: str = "",
    use: str = "scanned murals with losses: white or near-white patches where the paint is gone",
) -> Entry:
    figure = f"the paper's, on its own test set: {paper} PSNR; of this one: see the model card"
    return Entry(
        name=name,
        title=title,
        architecture=architecture,
        embedded=True,
        licence="MIT",
        citation=citation,
        training="open-licence and painted pictures of this project; see the model card",
        intended_use=use,
        not_for="deciding what was painted there: it fills in what is plausible, not what was",
        quality=figure if paper else "",
        tile=_HINET_TILE,
    )


CATALOGUE: tuple[Entry, ...] = (
    _own("arin", "ARIN, the paper's: CAR, then HINet", "arin", _ARIN, paper="31.00 dB"),
    _own(
        "arin-joint",
        "ARIN with both parts trained together",
        "arin",
        _ARIN,
        use="comparison, and training on: it was not trained to the end",
    ),
    _own("arin-guided", "finds losses, fills them, then refines", "guided", _ARIN),
    _own("hinet-db", "HINet, deblurring configuration", "hinet", _HINET, paper="33.32 dB"),
    _own("hinet-dr", "HINet, deraining configuration", "hinet", _HINET, paper="24.40 dB"),
    _own("car", "CAR alone, trained on losses", "car", _CAR, paper="27.70 dB"),
    _own(
        "car-base",
        "CAR alone, trained on clean pictures",
        "car",
        _CAR,
        use="comparison: what resampling does without having seen losses",
    ),
    _published_car("car-df2k", 2, 7),
    _published_car("car-df2k-4x", 4, 13),
    _published_hinet(
        "hinet-gopro",
        "HINet-GoPro.pth",
        "1dw8PKVkLfISzNtUu3gqGh83NBO83ZQ5n",
        "HINet-GoPro.pth",
        "GoPro",
        "deblurring; where hinet-db of the paper starts",
        3,
        quality="GoPro, by its authors: 32.71 dB PSNR",
    ),
    _published_hinet(
        "hinet-reds",
        "HINet-REDS.pth",
        "1uYH8XvLgrn-Vg6L0NjUcO2Fblhqrc8TU",
        "HINet-REDS.pth",
        "REDS",
        "deblurring of JPEG-compressed pictures",
        3,
    ),
    _published_hinet(
        "hinet-rain13k",
        "HINet-Rain13k.pth",
        "1AVedAkb1B2F2b3XGWlMFFVSsNfQlCwxa",
        "HINet-Rain13k.pth",
        "Rain13k",
        "deraining; where hinet-dr of the paper starts",
        0,
    ),
    _published_hinet(
        "hinet-sidd",
        "HINet-SIDD-1x.pth",
        "1CU5z-M90Jc-TAcVpEaFjDCYA09fkubGi",
        "HINet-SIDD-1x.pth",
        "SIDD",
        "removing a camera's noise",
        0,
    ),
    _published_hinet(
        "hinet-sidd-0.5x",
        "HINet-SIDD-0.5x.pth",
        "1Y5YJQVNL0weifE--5us344bLwzBNS_sU",
        "",
        "SIDD",
        "removing a camera's noise, at half the width",
        0,
        width=32,
        size=88_700_000,
    ),
    _published_edsr("edsr-x2", "edsr_x2-0edfb8a3.pt", "0edfb8a3", 32, 256),
    _published_edsr("edsr-x2-baseline", "edsr_baseline_x2-1bc95232.pt", "1bc95232", 16, 64),
    Entry(
        name="lpips-alexnet",
        title="AlexNet, the trunk of the LPIPS metric",
        architecture="alexnet",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        file="alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        size=244_400_000,
        licence="BSD-3-Clause (torchvision)",
        source="https://pytorch.org/vision",
        citation="R. Zhang et al., LPIPS, arXiv 1801.03924",
        training="ImageNet",
        intended_use="measuring LPIPS; the linear heads come with the lpips package",
        not_for="restoring",
    ),
)

"""Order is the order of ``models list``."""
