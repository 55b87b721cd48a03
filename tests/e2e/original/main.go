// A client as users of the first Spark have it: generated from its contract, nothing else known of the server.
//
// main ADDRESS ID WORD... queues a job, waits for its end, reads its log, and prints all answers as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "example.com/original/sparkv1"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	address, id, words := os.Args[1], os.Args[2], os.Args[3:]
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	client := pb.NewSparkServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()

	ping, err := client.Ping(ctx, &pb.PingRequest{})
	check(err)
	request := &pb.QueueJobRequest{JobId: id, Image: "busybox:1", Command: words, Timeout: 60}
	queued, err := client.QueueJob(ctx, request)
	check(err)
	seen := []string{}
	var state *pb.GetJobStatusResponse
	for {
		state, err = client.GetJobStatus(ctx, &pb.GetJobStatusRequest{JobId: queued.Id})
		check(err)
		if len(seen) == 0 || seen[len(seen)-1] != state.Status {
			seen = append(seen, state.Status)
		}
		if state.Status != "PENDING" && state.Status != "RUNNING" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	logs, err := client.GetJobLogs(ctx, &pb.GetJobLogsRequest{JobId: queued.Id})
	check(err)
	_, again := client.QueueJob(ctx, request)
	_, unknown := client.GetJobStatus(ctx, &pb.GetJobStatusRequest{JobId: "no-such-job"})

	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"ping": ping.Message, "id": queued.Id, "name": queued.Name, "namespace": queued.Namespace, "seen": seen,
		"job_id": state.JobId, "error_message": state.ErrorMessage, "logs": logs.Logs,
		"again": status.Code(again).String(), "unknown": status.Code(unknown).String(),
	}))
}
