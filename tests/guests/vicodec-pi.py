#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Patches the kernel's test codec, vicodec, so that to a client its encoder behaves more like a
Raspberry Pi's bcm2835-codec, and so that a test can look into it and make it fail.

vicodec-pi.py vicodec-core.c       (of Linux 6.1 or 6.12, changed in place)

- KEYFRAME and PFRAME flags on coded buffers; FORCE_KEY_FRAME, BITRATE, H264_I_PERIOD,
  REPEAT_SEQ_HEADER, H264_PROFILE, H264_LEVEL; S_PARM and G_PARM.
- Pictures from 320x240 on, which an emulated processor has time for; before, from 640x360.
- Parameter contig_cap=1: coded buffers are vb2-dma-contig memory, as on the Pi.
- Parameters that a test writes or reads in /sys/module/vicodec/parameters: `stall` (pictures go in
  and none come out, as when the Pi's firmware hangs), `empty` (they come out with no bytes),
  `broken` (they come out with the flag ERROR), `stop_ms` (so long STREAMOFF takes), `bitrate` and
  `gop` (those set last), `forced` (key frames asked for), `interval` (of S_PARM, denominator),
  `pictures` (encoded).
"""
import re
import sys


def replace(text, old, new):
    assert text.count(old) >= 1, f"this vicodec has no: {old}"
    return text.replace(old, new, 1)


def patch(s):
    s = replace(
        s,
        "static bool multiplanar;",
        """static bool contig_cap;
module_param(contig_cap, bool, 0444);
MODULE_PARM_DESC(contig_cap, " coded buffers are vb2-dma-contig, as bcm2835-codec's");
static bool stall;
module_param(stall, bool, 0644);
MODULE_PARM_DESC(stall, " encode nothing");
static bool empty;
module_param(empty, bool, 0644);
MODULE_PARM_DESC(empty, " coded buffers have no bytes");
static bool broken;
module_param(broken, bool, 0644);
MODULE_PARM_DESC(broken, " coded buffers have the flag ERROR");
static uint stop_ms;
module_param(stop_ms, uint, 0644);
MODULE_PARM_DESC(stop_ms, " milliseconds that STREAMOFF of an encoder takes");
static uint bitrate;
module_param(bitrate, uint, 0444);
MODULE_PARM_DESC(bitrate, " that an encoder was set to last");
static uint gop;
module_param(gop, uint, 0444);
MODULE_PARM_DESC(gop, " key frame interval that an encoder was set to last");
static uint forced;
module_param(forced, uint, 0444);
MODULE_PARM_DESC(forced, " key frames that encoders were asked for");
static uint interval;
module_param(interval, uint, 0444);
MODULE_PARM_DESC(interval, " denominator of the frame interval set last");
static uint pictures;
module_param(pictures, uint, 0444);
MODULE_PARM_DESC(pictures, " encoded");

static bool multiplanar;""",
    )

    for name, least in ("WIDTH", 320), ("HEIGHT", 240):
        s, n = re.subn(rf"(#define MIN_{name}\s+)\d+U", rf"\g<1>{least}U", s)
        assert n == 1, f"this vicodec has no MIN_{name}"

    # A stalled encoder has no job to run, so that STREAMOFF need not wait for one.
    s = replace(
        s,
        "	if (ctx->source_changed)\n		return 0;\n	if (ctx->is_stateless",
        "	if (ctx->source_changed || (ctx->is_enc && stall))\n		return 0;\n"
        "	if (ctx->is_stateless",
    )
    s = replace(
        s,
        "	vicodec_return_bufs(q, VB2_BUF_STATE_ERROR);\n\n	v4l2_m2m_update_stop",
        "	if (ctx->is_enc && stop_ms)\n		msleep(stop_ms);\n"
        "	vicodec_return_bufs(q, VB2_BUF_STATE_ERROR);\n\n	v4l2_m2m_update_stop",
    )
    s = replace(s, "#include <linux/module.h>", "#include <linux/delay.h>\n#include <linux/module.h>")

    # What fails is not encoded, so that no picture refers to it.
    coding = "		comp_sz_or_errcode = v4l2_fwht_encode(state, p_src, p_dst);\n"
    s = replace(
        s,
        coding,
        """		if (broken)
			return -EIO;
		if (empty) {
			dst_vb->flags &= ~(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME);
			vb2_set_plane_payload(&dst_vb->vb2_buf, 0, 0);
			return 0;
		}
""" + coding,
    )

    # Flags of coded buffers.
    s = replace(
        s,
        "		vb2_set_plane_payload(&dst_vb->vb2_buf, 0, comp_sz_or_errcode);\n	} else {",
        """		vb2_set_plane_payload(&dst_vb->vb2_buf, 0, comp_sz_or_errcode);
		pictures++;
		dst_vb->flags &= ~(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME);
		if (ntohl(((struct fwht_cframe_hdr *)p_dst)->flags) & V4L2_FWHT_FL_I_FRAME)
			dst_vb->flags |= V4L2_BUF_FLAG_KEYFRAME;
		else
			dst_vb->flags |= V4L2_BUF_FLAG_PFRAME;
	} else {""",
    )

    # Controls.
    s = replace(
        s,
        "	case V4L2_CID_FWHT_I_FRAME_QP:\n",
        """	case V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME:
		forced++;
		ctx->state.gop_cnt = 0;
		return 0;
	case V4L2_CID_MPEG_VIDEO_BITRATE:
		bitrate = ctrl->val;
		return 0;
	case V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER:
	case V4L2_CID_MPEG_VIDEO_H264_PROFILE:
	case V4L2_CID_MPEG_VIDEO_H264_LEVEL:
		return 0;
	case V4L2_CID_MPEG_VIDEO_H264_I_PERIOD:
		gop = ctrl->val;
		ctx->state.gop_size = ctrl->val ? ctrl->val : 1;
		return 0;
	case V4L2_CID_FWHT_I_FRAME_QP:
""",
    )
    new_controls = [
        ("BITRATE", "25000, 25000000, 25000, 10000000"),
        ("H264_I_PERIOD", "0, 0x7fffffff, 1, 60"),
        ("REPEAT_SEQ_HEADER", "0, 1, 1, 0"),
        ("FORCE_KEY_FRAME", "0, 0, 0, 0"),
    ]
    new_menus = [
        ("H264_PROFILE", "V4L2_MPEG_VIDEO_H264_PROFILE_HIGH"),
        ("H264_LEVEL", "V4L2_MPEG_VIDEO_H264_LEVEL_4_2"),
    ]
    code = "	if (ctx->is_enc) {\n"
    for name, numbers in new_controls:
        code += (
            "		v4l2_ctrl_new_std(hdl, &vicodec_ctrl_ops,\n"
            f"				  V4L2_CID_MPEG_VIDEO_{name}, {numbers});\n"
        )
    for name, last in new_menus:
        code += (
            "		v4l2_ctrl_new_std_menu(hdl, &vicodec_ctrl_ops,\n"
            f"				       V4L2_CID_MPEG_VIDEO_{name}, {last}, 0, {last});\n"
        )
    code += "	}\n"
    first = "	v4l2_ctrl_new_std(hdl, &vicodec_ctrl_ops, V4L2_CID_FWHT_I_FRAME_QP"
    s = replace(s, first, code + first)
    s = re.sub(r"v4l2_ctrl_handler_init\(hdl, \d+\)", "v4l2_ctrl_handler_init(hdl, 16)", s)

    # The frame rate.
    s = replace(
        s,
        "static const struct v4l2_ioctl_ops vicodec_ioctl_ops",
        """static int vicodec_parm(struct file *file, void *priv, struct v4l2_streamparm *p)
{
	struct v4l2_fract *tpf = &p->parm.output.timeperframe;

	if (!file2ctx(file)->is_enc || !V4L2_TYPE_IS_OUTPUT(p->type))
		return -EINVAL;
	if (!tpf->numerator || !tpf->denominator) {
		tpf->numerator = 1;
		tpf->denominator = 30;
	}
	interval = tpf->denominator;
	p->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	return 0;
}

static const struct v4l2_ioctl_ops vicodec_ioctl_ops""",
    )
    s = replace(
        s,
        "	.vidioc_querycap	= vidioc_querycap,",
        "	.vidioc_querycap	= vidioc_querycap,\n"
        "	.vidioc_g_parm		= vicodec_parm,\n"
        "	.vidioc_s_parm		= vicodec_parm,",
    )

    # Contiguous coded buffers.
    s = replace(
        s,
        "#include <media/videobuf2-vmalloc.h>",
        "#include <media/videobuf2-vmalloc.h>\n#include <media/videobuf2-dma-contig.h>\n"
        "#include <linux/dma-mapping.h>",
    )
    s = replace(
        s,
        "	dst_vq->mem_ops = &vb2_vmalloc_memops;",
        """	dst_vq->mem_ops = contig_cap ? &vb2_dma_contig_memops : &vb2_vmalloc_memops;
	dst_vq->dev = ctx->dev->v4l2_dev.dev;
	if (contig_cap)
		dst_vq->io_modes = VB2_MMAP | VB2_DMABUF;""",
    )
    s = replace(
        s,
        "	dev->v4l2_dev.release = vicodec_v4l2_dev_release;",
        """	if (dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32)))
		dev_warn(&pdev->dev, "no 32-bit DMA\\n");
	dev->v4l2_dev.release = vicodec_v4l2_dev_release;""",
    )
    return s


def main():
    path = sys.argv[1]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(patch(text))


if __name__ == "__main__":
    main()
