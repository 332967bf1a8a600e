#!/bin/sh
# Asks a service for the three best classes of a row with curl; prints the header that names who answered, and the answer.
#
#     sh predict.sh http://localhost:8080 service1 5.1,3.5,1.4,0.2
url=$1 service=$2 row=$3
curl --fail-with-body --silent --show-error --include "$url/predict" -d @- <<END
{"service": "$service", "parameters": {"output": {"best": 3}}, "data": ["$row"]}
END
