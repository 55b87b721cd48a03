// Command kubernetes is every part of a small Kubernetes cluster in one binary.
// Its first argument picks the part; the rest is that part's own command line.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var parts = map[string]func(args []string) int{
	"etcd": func(args []string) int {
		etcdmain.Main(append([]string{"etcd"}, args...))
		return 0
	},
	"kube-apiserver":          cobraPart(func() *cobra.Command { return apiserver.NewAPIServerCommand() }),
	"kube-controller-manager": cobraPart(func() *cobra.Command { return controllers.NewControllerManagerCommand() }),
	"kube-scheduler":          cobraPart(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 cobraPart(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kubectl":                 cobraPart(func() *cobra.Command { return kubectl.NewDefaultKubectlCommand() }),
}

// cobraPart makes the command only when it is picked: the parts register global flags that clash.
func cobraPart(command func() *cobra.Command) func([]string) int {
	return func(args []string) int {
		part := command()
		part.SetArgs(args)
		return cli.Run(part)
	}
}

func main() {
	if len(os.Args) > 1 {
		if run, known := parts[os.Args[1]]; known {
			args := os.Args[2:]
			// The parts read os.Args themselves here and there (plugins of kubectl, etcd's flags).
			os.Args = append([]string{os.Args[1]}, args...)
			os.Exit(run(args))
		}
	}
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: %s PART [ARGUMENTS]; PART is one of: %s\n", os.Args[0], strings.Join(names, ", "))
	os.Exit(2)
}
