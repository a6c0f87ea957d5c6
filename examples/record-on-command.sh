#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Records every server while a command is given over MQTT. Usage: record-on-command.sh [FOLDER]
#
# The recordings are MP4 files in a folder for each server, ten minutes each. The oldest ones are
# deleted when all take more than 20 GB, or after 14 days.
#
# Start and stop recording from any machine:
#
#	mosquitto_pub -h BROKER -t commend/rec -m start
#	mosquitto_pub -h BROKER -t commend/rec -m stop
#
# The broker is the one of the servers; set it here or in the environment.
set -eu

CAMCAST_BROKER=${CAMCAST_BROKER:-localhost}
export CAMCAST_BROKER

folder=${1:-$HOME/recordings}
mkdir -p "$folder"
exec camcast record --all --on-command --dir "$folder" \
	--segment 10m --max-bytes 20GB --max-age 14d
